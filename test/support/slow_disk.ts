import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

/**
 * To be loaded before a program (`node --import`): a disk on which files of `SLOW_FOLDER` open late, by 50 to 300 milliseconds, so
 * that much can happen while one is being opened for reading.
 */

const folder = `${process.env.SLOW_FOLDER ?? ""}/`;
const { open } = fs.promises;
let opened = 0;

fs.promises.open = async (path, flags, mode) => {
  if (flags === "r" && String(path).startsWith(folder)) {
    opened += 1;
    const lateMs = 50 + ((opened * 37) % 251);
    await new Promise((resolve) => setTimeout(resolve, lateMs));
  }
  return await open(path, flags, mode);
};
syncBuiltinESMExports();
