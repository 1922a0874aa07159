-- What is accepted runs: jobs of the lane `batch`, which no worker takes, run as any others, and no more are taken.
update jobs set lane = 'bulk' where lane = 'batch';
alter table jobs drop constraint jobs_lane_check;
alter table jobs add constraint jobs_lane_check check (lane in ('interactive', 'bulk'));
