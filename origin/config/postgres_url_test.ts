import assert from "node:assert/strict";
import { test } from "node:test";
import { isSilentlyPlain, normalisePostgres } from "./postgres_url.ts";

test("an address stays as it is, but for the mark that gives sslmode libpq's meaning", () => {
  assert.equal(
    normalisePostgres("postgres://u:p%40@h:5433/d?sslmode=disable"),
    "postgres://u:p%40@h:5433/d?sslmode=disable",
  );
  assert.equal(normalisePostgres("postgresql://u@h/d"), "postgresql://u@h/d");
  assert.equal(
    normalisePostgres("postgres://u@h/d?sslmode=require"),
    "postgres://u@h/d?sslmode=require&uselibpqcompat=true",
  );
});

test("libpq's pairs become an address", () => {
  const pairs = "host=db port=5433 user=media password='a b\\'c' dbname=media sslmode=disable";
  assert.equal(normalisePostgres(pairs), "postgres://media:a%20b'c@db:5433/media?sslmode=disable");
});

test("a socket's folder stays a parameter", () => {
  const url = new URL(normalisePostgres("host=/run/postgresql user=media dbname=media") ?? "");
  assert.equal(url.searchParams.get("host"), "/run/postgresql");
});

test("what is neither is refused; nothing stays nothing", () => {
  for (const text of ["mysql://h/d", "just words", "host", "postgres://[::bad/d"]) {
    assert.equal(normalisePostgres(text), undefined, text);
  }
  assert.equal(normalisePostgres(""), "");
});

test("only a connection to elsewhere that says nothing of encryption is silently plain", () => {
  assert.equal(isSilentlyPlain("postgres://u@db.example.org/d"), true);
  for (const url of [
    "postgres://u@db.example.org/d?sslmode=disable",
    "postgres://u@127.0.0.1/d",
    "postgres://u@postgres/d",
    "",
  ]) {
    assert.equal(isSilentlyPlain(url), false, url);
  }
});
