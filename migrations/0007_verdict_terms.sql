-- Under which terms a verdict was given: a fingerprint of what the configuration says of the homeserver's tokens and of how
-- their bearers are served. A verdict of other terms than those in force is void, as are those from before this was noted.
ALTER TABLE edge_verdicts ADD COLUMN terms text COLLATE "C" NOT NULL DEFAULT '';

-- Tells a row from one that was there before under the same key: who noted a verdict in the one may not settle it in the other.
ALTER TABLE edge_verdicts ADD COLUMN incarnation bigint NOT NULL DEFAULT nextval('generations');

-- The terms hold the application services, too.
DROP TABLE service_tokens;
