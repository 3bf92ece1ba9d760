-- Logouts that were begun. A row is committed before the homeserver is asked to end the sessions, and goes when its answer has
-- been acted on or, where none came, when it has had time enough. While it is there, no verdict on the token (of the user, of
-- the server) is put into the edge bucket. No token is here, only its hash.
CREATE TABLE logouts (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  server_name text COLLATE "C" NOT NULL,
  token_hash text COLLATE "C" NOT NULL,
  user_id text COLLATE "C", -- all of whose sessions end
  of_server boolean NOT NULL, -- all sessions of somebody end, and nobody knows whose
  due_at bigint NOT NULL
);
CREATE INDEX logouts_token ON logouts (token_hash);
CREATE INDEX logouts_user ON logouts (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX logouts_due ON logouts (due_at);
