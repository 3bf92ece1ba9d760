// A program for tests: it sets up the library as decoders do, and tells which of the files it then can read the header of.
import { join } from "node:path";
import sharp from "sharp";
import { setUpSharp } from "../../../../origin/imaging/sandbox/sharp_setup.ts";

const [folder = "", ...names] = process.argv.slice(2);
await setUpSharp();
const loaded: string[] = [];
for (const name of names) {
  await sharp(join(folder, name))
    .metadata()
    .then(
      () => loaded.push(name),
      () => {},
    );
}
process.send?.(loaded, () => process.disconnect());
