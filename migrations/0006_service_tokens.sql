-- The tokens (their hashes) of application services that were judged without asking the homeserver. One that has left the
-- configuration is revoked, because nobody logs an application service out.
CREATE TABLE service_tokens (
  token_hash text COLLATE "C" PRIMARY KEY
);
