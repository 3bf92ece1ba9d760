-- What the edge must learn: written in the transaction that changes the truth, delivered by the request before it answers
-- or, after a crash, by a job. A delivered tombstone keeps its row until it may be taken from the bucket again.
CREATE TABLE edge_outbox (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  key text COLLATE "C" NOT NULL,
  generation bigint NOT NULL,
  document jsonb NOT NULL,
  tombstone boolean NOT NULL GENERATED ALWAYS AS (document ? 'gone') STORED,
  created_at bigint NOT NULL,
  due_at bigint NOT NULL,
  attempts integer NOT NULL DEFAULT 0,
  delivered_at bigint
);
CREATE INDEX edge_outbox_due ON edge_outbox (due_at) WHERE delivered_at IS NULL;
CREATE INDEX edge_outbox_key ON edge_outbox (key) WHERE delivered_at IS NULL;
CREATE INDEX edge_outbox_delivered ON edge_outbox (delivered_at) WHERE delivered_at IS NOT NULL;

-- Verdicts that may lie in the edge bucket. Noted before the homeserver is asked (so the user is not known at first), so
-- that a logout finds every one that could ever be written. No token is here, only its hash.
CREATE TABLE edge_verdicts (
  key text COLLATE "C" PRIMARY KEY,
  server_name text COLLATE "C" NOT NULL,
  token_hash text COLLATE "C" NOT NULL,
  user_id text COLLATE "C",
  device_id text COLLATE "C",
  generation bigint NOT NULL,
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
