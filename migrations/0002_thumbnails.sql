-- Thumbnails that were made, by the suffix of shared/thumbnail_size.ts. They go with their media; their bodies are bodies
-- like any other.
CREATE TABLE thumbnails (
  server_name text COLLATE "C" NOT NULL,
  media_id text COLLATE "C" NOT NULL,
  suffix text COLLATE "C" NOT NULL,
  width integer NOT NULL,
  height integer NOT NULL,
  method text COLLATE "C" NOT NULL CHECK (method IN ('crop', 'scale')),
  animated boolean NOT NULL,
  format text COLLATE "C" NOT NULL,
  sha256 text COLLATE "C" NOT NULL REFERENCES blobs (sha256),
  content_type text NOT NULL,
  generation bigint NOT NULL,
  created_at bigint NOT NULL,
  PRIMARY KEY (server_name, media_id, suffix),
  FOREIGN KEY (server_name, media_id) REFERENCES media (server_name, media_id) ON DELETE CASCADE
);
CREATE INDEX thumbnails_sha256 ON thumbnails (sha256);
CREATE INDEX thumbnails_created ON thumbnails (created_at);
