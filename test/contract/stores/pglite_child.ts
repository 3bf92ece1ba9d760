// A process that writes rows into a PGlite folder as fast as it can and says each number once it is committed, until it is
// killed. Started by pglite_test.ts.
import { openPglite } from "../../../origin/stores/db/pglite.ts";

const [, , folder = "", from = "0"] = process.argv;
try {
  const db = await openPglite(folder);
  await db.exec("CREATE TABLE IF NOT EXISTS bodies (n int PRIMARY KEY)");
  await db.exec("CREATE TABLE IF NOT EXISTS acknowledged (n int PRIMARY KEY REFERENCES bodies (n), text text)");
  for (let n = Number(from); ; n += 1) {
    await db.transaction(async (tx) => {
      await tx.query("INSERT INTO bodies VALUES ($1)", [n]);
      await tx.query("INSERT INTO acknowledged VALUES ($1, $2)", [n, "x".repeat(500)]);
    });
    process.stdout.write(`${n}\n`);
  }
} catch (error) {
  process.stderr.write((error as Error).message);
  process.exitCode = 3;
}
