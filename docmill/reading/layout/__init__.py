"""From words with boxes to text in reading order, whoever found the words: a PDF, or OCR."""
