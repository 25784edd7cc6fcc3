create table if not exists orders (payment_id varchar(64) not null, amount int not null);
