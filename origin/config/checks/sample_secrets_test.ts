import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { isSampleSecret } from "./sample_secrets.ts";

test("what samples have for secrets is known, in whatever spelling", () => {
  for (const text of [
    ...["ReplaceMe", "replace_me", "PutSomeRandomSecureValueHere", "put-some-random-secure-value-here", " ReplaceMe "],
    ...["your_password", "changeme", "CHANGE_ME", "change this", "Your-Secret-Here", "insert your token here"],
    ...["secret-key-goes-here", "Secret_token_of_appservice_from_registration", "the_secret"],
    ...["<secret>", "{{ vault_secret }}", `\${HOP_SECRET}`, "…", "..."],
  ]) {
    assert.equal(isSampleSecret(text), true, text);
  }
});

test("a secret is none of them, however short, and nothing is not one either", () => {
  const drawn = Array.from({ length: 1_000 }, () => randomBytes(32).toString("base64url"));
  for (const text of ["", "p", "hunter2", "correct horse battery staple", "setup1", "it's", "a<b>c", ...drawn]) {
    assert.equal(isSampleSecret(text), false, text);
  }
});
