import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PostgresUrlError } from "./postgres_parameters.ts";
import { isSilentlyPlain, normalisePostgres } from "./postgres_url.ts";

const SAME: readonly string[] = [
  "postgres://u:p%40@h:5433/d?sslmode=disable",
  "postgres://u@h/d",
  "postgres://u@h/d?sslmode=require&uselibpqcompat=true",
  "postgres://u@[::1]:5433/d",
  "postgres://localhost/",
  "postgres://u@localhost/d?host=%2Frun%2Fpostgresql",
];

/** Text, and the address that it means. */
const FORMS: readonly (readonly [string, string])[] = [
  ["postgresql://u@h/d", "postgres://u@h/d"],
  ["  postgres://u@h/d\n", "postgres://u@h/d"],
  ["postgres://u@h", "postgres://u@h/"],
  ["postgres://u@h/d?sslmode=require", "postgres://u@h/d?sslmode=require&uselibpqcompat=true"],
  ["postgres://u@h/d?sslmode=allow", "postgres://u@h/d?sslmode=prefer&uselibpqcompat=true"],
  ["postgres://u@h/d?ssl=true", "postgres://u@h/d?sslmode=require&uselibpqcompat=true"],
  [
    "postgres://u@h/d?sslmode=verify-full&sslrootcert=system",
    "postgres://u@h/d?sslmode=verify-full&uselibpqcompat=true",
  ],
  ["postgres://u@/d?host=/run/postgresql", "postgres://u@localhost/d?host=%2Frun%2Fpostgresql"],
  ["postgres:///d?host=/run/postgresql&port=5433&user=u", "postgres://u@localhost:5433/d?host=%2Frun%2Fpostgresql"],
  ["postgres://u@%2Frun%2Fpostgresql/d", "postgres://u@localhost/d?host=%2Frun%2Fpostgresql"],
  ["postgres://u@%2Frun%2Fpostgresql/d?sslmode=require", "postgres://u@localhost/d?host=%2Frun%2Fpostgresql"],
  ["postgres:///d", "postgres://localhost/d"],
  ["postgres://?dbname=d&user=u&password=p&host=h", "postgres://u:p@h/d"],
  ["postgres://u@my_db/d", "postgres://u@my_db/d"],
  ["postgres://u@h/my db", "postgres://u@h/my%20db"],
  ["postgres://u@h/d?connect_timeout=10&binary_parameters=yes&keepalives_idle=5", "postgres://u@h/d"],
  ["postgres://u@h/d?application_name=a+b%20c", "postgres://u@h/d?application_name=a%2Bb%20c"],
  ["postgres://u@h/d?search_path=media", "postgres://u@h/d?options=-c%20search_path%3Dmedia"],
  [
    "postgres://u@h/d?max=1000&statement_timeout=1",
    "postgres://u@h/d?options=-c%20max%3D1000%20-c%20statement_timeout%3D1",
  ],
  // Reserved characters, written as they are.
  ["postgres://u:p#ss@h/d", "postgres://u:p%23ss@h/d"],
  ["postgres://u:p@ss@h/d", "postgres://u:p%40ss@h/d"],
  ["postgres://u:p/ss@h/d", "postgres://u:p%2Fss@h/d"],
  ["postgres://u:p?ss@h/d", "postgres://u:p%3Fss@h/d"],
  ["postgres://u:p:ss@h/d", "postgres://u:p%3Ass@h/d"],
  ["postgres://u:p%ss@h/d", "postgres://u:p%25ss@h/d"],
  ["postgres://u:p ss@h/d", "postgres://u:p%20ss@h/d"],
  ["postgres://u:p+ss@h/d", "postgres://u:p%2Bss@h/d"],
  ["postgres://u:p@ss/word#1@h:5433/d?sslmode=disable", "postgres://u:p%40ss%2Fword%231@h:5433/d?sslmode=disable"],
  ["postgres://user@tenant:pw@h/d", "postgres://user%40tenant:pw@h/d"],
  ["postgres://u:p@h/d?application_name=a@b", "postgres://u:p@h/d?application_name=a%40b"],
  // Pairs.
  [
    "host=db port=5433 user=media password='a b\\'c' dbname=media sslmode=disable",
    "postgres://media:a%20b'c@db:5433/media?sslmode=disable",
  ],
  ["host = db\n  user =  u\tdbname='d'", "postgres://u@db/d"],
  ["host=db user=u password=a\\ b\\\\c'd dbname=d", "postgres://u:a%20b%5Cc'd@db/d"],
  ["host=db user=u password=p@s/s#w?o%r=d dbname=d", "postgres://u:p%40s%2Fs%23w%3Fo%25r%3Dd@db/d"],
  ["host=db user=u password='' dbname=d", "postgres://u@db/d"],
  ["dbname=d user=u", "postgres://u@localhost/d"],
  ["host=/run/postgresql user=media dbname=media", "postgres://media@localhost/media?host=%2Frun%2Fpostgresql"],
  ["host=::1 user=u dbname=d", "postgres://u@[::1]/d"],
  ["hostaddr=10.0.0.1 host=db user=u dbname=d", "postgres://u@10.0.0.1/d"],
  ["host=a host=b dbname=d", "postgres://b/d"],
  [
    "host=db options='-c geqo=off' search_path='a b' dbname=d",
    "postgres://db/d?options=-c%20geqo%3Doff%20-c%20search_path%3Da%5C%20b",
  ],
];

/** What cannot be used, and how the message begins. Each holds the password "hunter2". */
const REFUSED: readonly (readonly [string, RegExp])[] = [
  ["mysql://u:hunter2@h/d", /^must be an address such as postgres:\/\//],
  ["hunter2", /^must be an address such as postgres:\/\//],
  ["postgres://u:hunter2@[::bad/d", /^cannot be read for certain/],
  ["postgres://u:hunter2@h/d/more", /^cannot be read for certain/],
  ["postgres://u:hunter2#%41@h/d", /^cannot be read for certain/],
  ["postgres://u:hunter2%zz%41@h/d", /^cannot be read for certain/],
  ["postgres://u:hunter2@b?c=d@h/d", /^cannot be read for certain/],
  ["postgres://u:hunter2", /^cannot be read for certain/],
  ["postgres://u:hunter2@h:99999/d", /^names a port that is none/],
  ["postgres://u:hunter2@h1,h2/d", /^names several hosts/],
  ["postgres://u:hunter2@h1:1,h2:2/d", /^names several hosts/],
  ["host=h1,h2 password=hunter2", /^names several hosts/],
  ["postgres://u:hunter2@h/d?sslmode=hunter2", /^has an unknown sslmode: it must be one of disable, allow, /],
  ["postgres://u:hunter2@h/d?sslmode=verify-ca", /^needs sslrootcert=FILE/],
  ["host=h password=hunter2 service=hunter2", /^cannot be used with service: leave it out/],
  ["host=h password=hunter2 target_session_attrs=standby", /^cannot be used with target_session_attrs/],
  ["host=h password='hunter2", /^cannot be read as pairs/],
  ["host=h password='hunter2'x", /^cannot be read as pairs/],
  ["host=h hunter2", /^cannot be read as pairs/],
  ["host='a b' password=hunter2", /^names a host that is none/],
];

describe("database.postgres", () => {
  test("stays as it is where it is the plain form, and nothing stays nothing", () => {
    for (const text of SAME) assert.equal(normalisePostgres(text), text);
    assert.equal(normalisePostgres(" "), "");
  });

  for (const [text, url] of FORMS) {
    test(`${JSON.stringify(text)} is ${url}`, () => {
      assert.equal(normalisePostgres(text), url);
      assert.equal(normalisePostgres(url), url, "what was read once means the same when it is read again");
    });
  }

  for (const [text, message] of REFUSED) {
    test(`${JSON.stringify(text)} is refused, and no part of its password is shown`, () => {
      assert.throws(
        () => normalisePostgres(text),
        (error) => {
          assert.ok(error instanceof PostgresUrlError);
          assert.match(error.message, message);
          assert.doesNotMatch(error.message, /hunter2/);
          return true;
        },
      );
    });
  }
});

test("only a connection to elsewhere that says nothing of encryption is silently plain", () => {
  assert.equal(isSilentlyPlain("postgres://u@db.example.org/d"), true);
  for (const url of [
    "postgres://u@db.example.org/d?sslmode=disable",
    "postgres://u@127.0.0.1/d",
    "postgres://u@postgres/d",
    "postgres://u@localhost/d?host=%2Frun%2Fpostgresql",
    "",
  ]) {
    assert.equal(isSilentlyPlain(url), false, url);
  }
});
