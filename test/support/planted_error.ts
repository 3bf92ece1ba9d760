import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

/**
 * To be loaded before a program (`node --import`): errors that nobody in it can have foreseen. On SIGUSR2 one that belongs to no
 * request; when a file is opened for an upload one out of that request, thrown in a timer (`PLANTED=throw`) or as a rejection
 * that nobody handles (`PLANTED=reject`), once.
 */

const how = process.env.PLANTED;
const { open } = fs.promises;
let planted = false;

process.on("SIGUSR2", () => {
  throw new Error("planted, of no request");
});

fs.promises.open = async (path, flags, mode) => {
  if (flags === "wx" && String(path).endsWith(".part") && how !== undefined && !planted) {
    planted = true;
    if (how === "throw") setTimeout(() => fail(), 10);
    else void Promise.resolve().then(fail);
  }
  return await open(path, flags, mode);
};
syncBuiltinESMExports();

function fail(): never {
  throw new Error("planted, of a request");
}
