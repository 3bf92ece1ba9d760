-- Who this database is, among all that may keep bodies in the same place: each datastore carries a mark of every database
-- that does (see origin/jobs/datastore_marks.ts). A copy of the database is the same one.
CREATE TABLE identity (
  the_only boolean PRIMARY KEY DEFAULT true CHECK (the_only),
  id text COLLATE "C" NOT NULL CHECK (id ~ '^[0-9a-f]{32}$')
);
INSERT INTO identity (id) VALUES (replace(gen_random_uuid()::text, '-', ''));

-- Changes that come in masses and are in no hurry (thumbnails that have expired) are delivered after all others.
ALTER TABLE edge_outbox ADD COLUMN bulk boolean NOT NULL DEFAULT false;
DROP INDEX edge_outbox_due;
CREATE INDEX edge_outbox_due ON edge_outbox (bulk, due_at) WHERE delivered_at IS NULL;

-- Of a tombstone that was delivered, `due_at` says when it is to be taken from the bucket again: so far an hour later.
UPDATE edge_outbox SET due_at = delivered_at + 3600000 WHERE delivered_at IS NOT NULL;
DROP INDEX edge_outbox_delivered;
CREATE INDEX edge_outbox_delivered ON edge_outbox (due_at) WHERE delivered_at IS NOT NULL;
