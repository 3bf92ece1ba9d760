-- Media ids that were issued by `POST /_matrix/media/v1/create` and wait for their bytes. Whoever deletes the row is the one
-- upload that may complete.
CREATE TABLE pending_uploads (
  server_name text COLLATE "C" NOT NULL,
  media_id text COLLATE "C" NOT NULL,
  user_id text COLLATE "C" NOT NULL,
  created_at bigint NOT NULL,
  expires_at bigint NOT NULL,
  PRIMARY KEY (server_name, media_id),
  FOREIGN KEY (server_name, media_id) REFERENCES media_ids_used (server_name, media_id)
);
CREATE INDEX pending_uploads_user ON pending_uploads (user_id, expires_at);
CREATE INDEX pending_uploads_expiry ON pending_uploads (expires_at);
