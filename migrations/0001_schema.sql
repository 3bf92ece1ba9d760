-- The truth about bodies and media, and what follows from it. Postgres and PGlite, one dialect.
--
-- 1. Bodies, and the media and thumbnails that point at them
-- 2. Ids and users
-- 3. Objects in datastores
-- 4. What the edge must learn
-- 5. Verdicts on access tokens
-- 6. What the processes share
--
-- Times are milliseconds since the epoch, taken from the origin's clock; sizes are bytes. Keys compare byte by byte ("C"),
-- so that an upgrade of the system's locales cannot break an index.

-- Of two truths about one thing the one with the larger generation is true. A generation is drawn in the transaction that
-- changes the truth, once it holds the row.
CREATE SEQUENCE generations;

---------------------------------------------------------------------------------------------------------------------------
-- 1. Bodies, and the media and thumbnails that point at them
--
-- A transaction locks in one order: bodies (by hash), then media, then a user's usage.

-- One row per body; immutable, named by its SHA-256. `generation` is that of this incarnation and part of its object's
-- name: removing an old object can never take a new one. Deleting has two steps: `doomed_at` is set when the last
-- row that pointed here is gone, and the row goes after a grace time unless an upload of the same bytes has claimed it.
-- `lost_at`: its object was not in its datastore, or not what it was; an upload of the same bytes puts it anew.
CREATE TABLE blobs (
  sha256 text COLLATE "C" PRIMARY KEY CHECK (sha256 ~ '^[0-9a-f]{64}$'),
  size bigint NOT NULL CHECK (size >= 0),
  datastore_id text COLLATE "C" NOT NULL,
  location text COLLATE "C" NOT NULL,
  generation bigint NOT NULL,
  created_at bigint NOT NULL,
  doomed_at bigint,
  lost_at bigint,
  UNIQUE (datastore_id, location)
);
CREATE INDEX blobs_doomed ON blobs (doomed_at) WHERE doomed_at IS NOT NULL;

-- Our own media and, without a user, those of other servers. `frozen`: served only to requests that authenticate.
-- The generation is that of the descriptor at the edge.
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
  last_access_day integer NOT NULL, -- whole days since the epoch: written in batches, never once per download
  PRIMARY KEY (server_name, media_id)
);
CREATE INDEX media_sha256 ON media (sha256);
CREATE INDEX media_user ON media (user_id, created_at) WHERE user_id IS NOT NULL;
CREATE INDEX media_created ON media (created_at);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the body and the user of a media never change: delete it and insert another';
END $$;

CREATE TRIGGER media_identity BEFORE UPDATE OF sha256, user_id ON media
  FOR EACH ROW WHEN (OLD.sha256 <> NEW.sha256 OR OLD.user_id IS DISTINCT FROM NEW.user_id)
  EXECUTE FUNCTION refuse_change();

-- Thumbnails that were made, by the suffix of shared/matrix/thumbnail_size.ts. They go with their media; their bodies are
-- bodies like any other, and they expire by their own rule.
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

---------------------------------------------------------------------------------------------------------------------------
-- 2. Ids and users

-- Every id that was ever issued. Rows are never deleted: an id is not issued twice, not even after its media is gone.
CREATE TABLE media_ids_used (
  server_name text COLLATE "C" NOT NULL,
  media_id text COLLATE "C" NOT NULL,
  created_at bigint NOT NULL,
  PRIMARY KEY (server_name, media_id)
);

-- Ids that were issued by `POST /_matrix/media/v1/create` and wait for their bytes. The upload that deletes the row is the
-- one that may complete.
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

-- What each user keeps here, counted as if nothing were deduplicated. The triggers below keep it, so that no statement that
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

---------------------------------------------------------------------------------------------------------------------------
-- 3. Objects in datastores

-- Objects that are about to be put. An intent is committed before its object is put (without waiting for the disk) and taken
-- away by the transaction that inserts the row of the body, which fails without it. An intent that is older than any put can
-- last becomes a removal: so an object whose row never came is found without listing a datastore, and no object of another
-- database is ever taken for one.
CREATE TABLE intents (
  datastore_id text COLLATE "C" NOT NULL,
  location text COLLATE "C" NOT NULL,
  created_at bigint NOT NULL,
  PRIMARY KEY (datastore_id, location)
);
CREATE INDEX intents_created ON intents (created_at);

-- Objects to remove: the row that named them is gone, or never was. `sha256` and `generation` are given for what was a
-- body, whose copy at the edge goes with it.
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

-- A body that lies elsewhere than before (its object was lost, say): what is left at the old place is removed once no download
-- can read there, and all that points at the body is newer, because the edge is told where it lies.
CREATE FUNCTION follow_body() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO removals (datastore_id, location, created_at, due_at)
  VALUES (OLD.datastore_id, OLD.location, NEW.created_at, NEW.created_at + 3600000);
  UPDATE media SET generation = nextval('generations') WHERE sha256 = NEW.sha256;
  UPDATE thumbnails SET generation = nextval('generations') WHERE sha256 = NEW.sha256;
  RETURN NULL;
END $$;

CREATE TRIGGER blob_moved AFTER UPDATE ON blobs
  FOR EACH ROW WHEN (OLD.generation <> NEW.generation) EXECUTE FUNCTION follow_body();

-- By which object each datastore is known again (see origin/stores/objects/presence.ts): a disk that is not mounted, or
-- another bucket, has none of this name. Drawn when a place is taken for the datastore's.
CREATE TABLE datastore_identities (
  datastore_id text COLLATE "C" PRIMARY KEY,
  identity text COLLATE "C" NOT NULL CHECK (identity ~ '^[0-9a-f]{32}$')
);

---------------------------------------------------------------------------------------------------------------------------
-- 4. What the edge must learn

-- Written in the transaction that changes the truth; delivered by the request before it answers or, after a crash, by a
-- job. `bulk`: changes that come in masses (thumbnails that have expired), delivered after all others. A delivered
-- tombstone keeps its row until `due_at`, when it is taken from the bucket again.
CREATE TABLE edge_outbox (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  key text COLLATE "C" NOT NULL,
  generation bigint NOT NULL,
  document jsonb NOT NULL,
  tombstone boolean NOT NULL GENERATED ALWAYS AS (document ? 'gone') STORED,
  bulk boolean NOT NULL DEFAULT false,
  created_at bigint NOT NULL,
  due_at bigint NOT NULL,
  attempts integer NOT NULL DEFAULT 0,
  delivered_at bigint
);
CREATE INDEX edge_outbox_due ON edge_outbox (bulk, due_at) WHERE delivered_at IS NULL;
CREATE INDEX edge_outbox_key ON edge_outbox (key) WHERE delivered_at IS NULL;
CREATE INDEX edge_outbox_delivered ON edge_outbox (due_at) WHERE delivered_at IS NOT NULL;

---------------------------------------------------------------------------------------------------------------------------
-- 5. Verdicts on access tokens
--
-- No token is here, only hashes of them.

-- Verdicts that may lie in the edge bucket. Noted before the homeserver is asked (so the user is not known at first), so
-- that a logout finds every one that could ever be written. `terms` is a fingerprint of what the configuration says of the
-- homeserver's tokens and of how their bearers are served: a verdict of other terms than those in force is void.
-- `incarnation` tells a row from an earlier one under the same key: a verdict noted in the one is not settled in the other.
CREATE TABLE edge_verdicts (
  key text COLLATE "C" PRIMARY KEY,
  server_name text COLLATE "C" NOT NULL,
  token_hash text COLLATE "C" NOT NULL,
  user_id text COLLATE "C",
  device_id text COLLATE "C",
  terms text COLLATE "C" NOT NULL,
  generation bigint NOT NULL,
  incarnation bigint NOT NULL DEFAULT nextval('generations'),
  expires_at bigint NOT NULL
);
CREATE INDEX edge_verdicts_token ON edge_verdicts (token_hash);
CREATE INDEX edge_verdicts_user ON edge_verdicts (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX edge_verdicts_expiry ON edge_verdicts (expires_at);

-- When the tokens of a user (or, with its name, of one device) were last revoked: a verdict of an older generation that is
-- still under way comes too late.
CREATE TABLE edge_revocations (
  user_id text COLLATE "C" NOT NULL,
  device_id text COLLATE "C" NOT NULL, -- empty: all of them
  generation bigint NOT NULL,
  created_at bigint NOT NULL,
  PRIMARY KEY (user_id, device_id)
);
CREATE INDEX edge_revocations_created ON edge_revocations (created_at);

-- Logouts under way. A row is committed before the homeserver is asked to end the sessions, and goes when its answer has
-- been acted on or, where none came, at `due_at`. While it is there, no verdict on the token (of the user, of the server)
-- is put into the edge bucket.
CREATE TABLE logouts (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  server_name text COLLATE "C" NOT NULL,
  token_hash text COLLATE "C" NOT NULL,
  user_id text COLLATE "C", -- all of whose sessions end
  of_server boolean NOT NULL, -- all sessions of an unknown user of this server end
  due_at bigint NOT NULL
);
CREATE INDEX logouts_token ON logouts (token_hash);
CREATE INDEX logouts_user ON logouts (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX logouts_due ON logouts (due_at);

---------------------------------------------------------------------------------------------------------------------------
-- 6. What the processes share

-- Which process does a thing that all could do, such as fetching a media of another server. It spares the others the work;
-- correctness never rests on it: what keeps a media from being recorded twice is the primary key of `media`. The holder
-- renews its lease, which lasts for seconds; one that has ended is taken over.
CREATE TABLE leases (
  name text COLLATE "C" PRIMARY KEY,
  holder text COLLATE "C" NOT NULL,
  until bigint NOT NULL
);
CREATE INDEX leases_until ON leases (until);

-- A secret of all processes that share this database: by it they know their own questions to homeservers
-- (origin/matrix/own_questions.ts).
CREATE TABLE deployment_key (
  the_only boolean PRIMARY KEY DEFAULT true CHECK (the_only),
  key text NOT NULL
);
INSERT INTO deployment_key (key) VALUES (replace(gen_random_uuid()::text, '-', ''));
