"""The table of uploads."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel(
            name="Upload",
            fields=[
                ("id", models.BigAutoField(primary_key=True)),
                ("name", models.CharField(max_length=200)),
                ("job_id", models.BigIntegerField(unique=True)),
                ("sent_at", models.DateTimeField(auto_now_add=True)),
            ],
        )
    ]
