-- Who is fetching a media of another server at the moment, so that of several processes one does. Only a hint that spares
-- the others the work: what keeps a media from being recorded twice is the primary key of `media`. A row lives for seconds;
-- its holder renews it, and one whose holder is gone is taken over once it has expired.
CREATE TABLE remote_fetches (
  server_name text COLLATE "C" NOT NULL,
  media_id text COLLATE "C" NOT NULL,
  holder text COLLATE "C" NOT NULL,
  expires_at bigint NOT NULL,
  PRIMARY KEY (server_name, media_id)
);
CREATE INDEX remote_fetches_expiry ON remote_fetches (expires_at);
