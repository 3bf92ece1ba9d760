-- By which object each datastore is known again (see origin/stores/datastores/presence.ts): a disk that is not mounted, or a
-- bucket that is another one, has none of this name. Drawn when a place is taken for the datastore's.
CREATE TABLE datastore_identities (
  datastore_id text COLLATE "C" PRIMARY KEY,
  identity text COLLATE "C" NOT NULL CHECK (identity ~ '^[0-9a-f]{32}$')
);
