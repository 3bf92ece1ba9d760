-- Bodies, the media that point at them, and what follows from both.
--
-- All times are milliseconds since the epoch and come from the origin's clock. Keys compare byte by byte ("C"), so that
-- no upgrade of the system's locales can break an index.

-- Of two truths about one thing the one with the larger number is true. Drawn in the transaction that changes the truth,
-- after it holds the row.
CREATE SEQUENCE generations;

-- One row per body. `generation` is that of this incarnation, and part of the name of its object, so that removing an
-- old object can never take a new one. A doomed body is one that nothing pointed at; see origin/stores/db/blobs.ts.
CREATE TABLE blobs (
  sha256 text COLLATE "C" PRIMARY KEY CHECK (sha256 ~ '^[0-9a-f]{64}$'),
  size bigint NOT NULL CHECK (size >= 0),
  datastore_id text COLLATE "C" NOT NULL,
  location text COLLATE "C" NOT NULL,
  generation bigint NOT NULL,
  created_at bigint NOT NULL,
  doomed_at bigint,
  UNIQUE (datastore_id, location)
);
CREATE INDEX blobs_doomed ON blobs (doomed_at) WHERE doomed_at IS NOT NULL;

-- Our own media and, with no user, those of other servers. `frozen`: only for those who authenticate.
CREATE TABLE media (
  server_name text COLLATE "C" NOT NULL,
  media_id text COLLATE "C" NOT NULL,
  sha256 text COLLATE "C" NOT NULL REFERENCES blobs (sha256),
  content_type text NOT NULL,
  upload_name text,
  user_id text COLLATE "C",
  created_at bigint NOT NULL,
  generation bigint NOT NULL,
  quarantined_at bigint,
  frozen boolean NOT NULL,
  purpose text COLLATE "C" NOT NULL DEFAULT 'none' CHECK (purpose IN ('none', 'pinned')),
  last_access_day integer NOT NULL, -- whole days since the epoch
  PRIMARY KEY (server_name, media_id)
);
CREATE INDEX media_sha256 ON media (sha256);
CREATE INDEX media_user ON media (user_id, created_at) WHERE user_id IS NOT NULL;
CREATE INDEX media_created ON media (created_at);

-- Every id this service ever issued. Rows are never deleted: an id is not issued twice, not even after its media is gone.
CREATE TABLE media_ids_used (
  server_name text COLLATE "C" NOT NULL,
  media_id text COLLATE "C" NOT NULL,
  created_at bigint NOT NULL,
  PRIMARY KEY (server_name, media_id)
);

-- What each user keeps here, counted as if nothing were deduplicated. Kept by the triggers below, so that nobody who
-- writes media can forget it.
CREATE TABLE user_usage (
  user_id text COLLATE "C" PRIMARY KEY,
  bytes bigint NOT NULL,
  files bigint NOT NULL
);

CREATE FUNCTION count_usage() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO user_usage AS u (user_id, bytes, files)
  SELECT m.user_id, TG_ARGV[0]::bigint * sum(b.size), TG_ARGV[0]::bigint * count(*)
  FROM changed m JOIN blobs b ON b.sha256 = m.sha256
  WHERE m.user_id IS NOT NULL
  GROUP BY m.user_id
  ORDER BY m.user_id -- one order for all, against deadlocks
  ON CONFLICT (user_id) DO UPDATE SET bytes = u.bytes + excluded.bytes, files = u.files + excluded.files;
  RETURN NULL;
END $$;

CREATE TRIGGER usage_of_new_media AFTER INSERT ON media
  REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_usage('1');
CREATE TRIGGER usage_of_deleted_media AFTER DELETE ON media
  REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_usage('-1');

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the body and the user of a media never change: delete it and insert another';
END $$;

CREATE TRIGGER media_identity BEFORE UPDATE OF sha256, user_id ON media
  FOR EACH ROW WHEN (OLD.sha256 <> NEW.sha256 OR OLD.user_id IS DISTINCT FROM NEW.user_id)
  EXECUTE FUNCTION refuse_change();

-- Objects that are to be removed: the row that named them is gone, or never was. `sha256` and `generation` are given for
-- what was a body, whose copy at the edge goes with it.
CREATE TABLE removals (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  datastore_id text COLLATE "C" NOT NULL,
  location text COLLATE "C" NOT NULL,
  sha256 text COLLATE "C",
  generation bigint,
  created_at bigint NOT NULL,
  due_at bigint NOT NULL,
  attempts integer NOT NULL DEFAULT 0
);
CREATE INDEX removals_due ON removals (due_at);
CREATE INDEX removals_place ON removals (datastore_id, location);
