import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

/**
 * To be loaded before a program (`node --import`): a disk on which files of `SLOW_FOLDER` open late, by 50 to 300 milliseconds, so
 * that much can happen while one is being opened for reading.
 */

const folder = `${process.env.SLOW_FOLDER ?? ""}/`;
const { open } = fs.promises;
const openPlain = fs.open;
let opened = 0;

function nextDelayMs(): number {
  opened += 1;
  return 50 + ((opened * 37) % 251);
}

const isSlow = (path: unknown, flags: unknown) => flags === "r" && String(path).startsWith(folder);

fs.promises.open = async (path, flags, mode) => {
  if (isSlow(path, flags)) await new Promise((resolve) => setTimeout(resolve, nextDelayMs()));
  return await open(path, flags, mode);
};
fs.open = Object.assign((...args: Parameters<typeof openPlain>) => {
  if (isSlow(args[0], args[1])) setTimeout(() => openPlain(...args), nextDelayMs());
  else openPlain(...args);
}, openPlain) as typeof openPlain;
syncBuiltinESMExports();
