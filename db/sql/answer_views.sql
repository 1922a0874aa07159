-- Views of answers, as they are: which definition each has, by its comment, and who may read it.


-- name: lock
select pg_advisory_xact_lock(:key)

-- name: wait_briefly
-- Whoever reads a view for long keeps it from being made anew, and others from reading it meanwhile.
select set_config('lock_timeout', '2s', true)

-- name: marked
-- Those that were made last come first: views of lists are after their answers'.
select c.relname as name, obj_description(c.oid, 'pg_class') as mark,
  array(select distinct coalesce(r.rolname, 'public') from aclexplode(c.relacl) a left join pg_roles r on r.oid = a.grantee
        where a.privilege_type = 'SELECT' and a.grantee <> c.relowner) as readers
from pg_class c
where c.relkind = 'v' and c.relnamespace = 'public'::regnamespace
  and obj_description(c.oid, 'pg_class') like 'docmill: answers of %' order by c.oid desc

-- name: may_make
select pg_has_role(current_user, relowner, 'usage') from pg_class where oid = 'results'::regclass
