// Says whether what is installed is what the lock file asks for. Plain CommonJS, because any Node must be able to run it.
const { readFileSync } = require("node:fs");
const { join } = require("node:path");

const top = join(__dirname, "..");

function packagesOf(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8")).packages;
  } catch {
    return undefined;
  }
}

/**
 * Is every package of the lock file there in its version? Packages for other platforms may be missing, and without `dev` those
 * for development. Times of files say nothing: they change with a copy.
 */
function isInstalled({ dev }) {
  const wanted = packagesOf(join(top, "package-lock.json"));
  const found = packagesOf(join(top, "node_modules", ".package-lock.json"));
  if (wanted === undefined || found === undefined) return false;
  return Object.entries(wanted).every(([path, one]) => {
    if (path === "" || one.link) return true;
    if (found[path]) return found[path].version === one.version;
    return one.optional || one.devOptional || (!dev && one.dev);
  });
}

module.exports = { isInstalled };
