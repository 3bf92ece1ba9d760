import sharp from "sharp";

/**
 * The loaders that may be used, from files unless their names say otherwise. PNG also from memory: the frames of an
 * animated PNG. SVG only from memory: opened as a file it reads the files beside it, which are other people's media.
 */
const ALLOWED_LOADERS = [
  "VipsForeignLoadJpegFile",
  "VipsForeignLoadPngFile",
  "VipsForeignLoadPngBuffer",
  "VipsForeignLoadWebpFile",
  "VipsForeignLoadNsgifFile",
  "VipsForeignLoadHeifFile",
  "VipsForeignLoadTiffFile",
  "VipsForeignLoadSvgBuffer",
];

/** Older ones let an AVIF write where it should not (GHSA-rgj7-g3m4-5g8c). */
const LEAST_SHARP = [0, 35, 4] as const;

/** The smallest pictures there are, one that must be refused and two that must not. */
const GIF = Buffer.from("R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==", "base64");
const PNG = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==",
  "base64",
);
const SVG = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>');

/**
 * Sets this process up for untrusted pictures: only the loaders of the allow-list, no cache (it is keyed by path, and
 * paths come again with other contents), one thread to a picture. Throws when that has no effect.
 */
export async function setUpSharp(): Promise<void> {
  requireVersion(sharp.versions.sharp ?? "0");
  sharp.cache(false);
  sharp.concurrency(1);
  sharp.block({ operation: ["VipsForeignLoad"] });
  sharp.unblock({ operation: ALLOWED_LOADERS });
  if (await loads(GIF)) throw new Error("Cannot decode safely: a loader that is not allowed works");
  if (!(await loads(PNG)) || !(await loads(SVG)))
    throw new Error("Cannot decode: a loader that is allowed does not work");
}

function requireVersion(version: string): void {
  const parts = version.split(".").map((part) => Number.parseInt(part, 10));
  const at = LEAST_SHARP.findIndex((least, index) => least !== parts[index]);
  if (at >= 0 && (parts[at] ?? 0) < (LEAST_SHARP[at] ?? 0)) {
    throw new Error(`Cannot decode safely: sharp ${version} is older than ${LEAST_SHARP.join(".")}`);
  }
}

async function loads(picture: Buffer): Promise<boolean> {
  return await sharp(picture)
    .metadata()
    .then(
      () => true,
      () => false,
    );
}
