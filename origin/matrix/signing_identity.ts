import { readFile } from "node:fs/promises";
import { importSeed } from "../../shared/matrix/sign_json.ts";
import type { SigningIdentity } from "./federation/federation_request.ts";
import { readSigningKeys, SigningKeyFileError } from "./signing_key_file.ts";

/**
 * The identity that a key file (`signingKeyPath`, any of the three forms) gives one of our server names: its first key, as
 * in matrix-media-repo. Throws what the file system throws, or {@link SigningKeyFileError}.
 */
export async function loadSigningIdentity(path: string, serverName: string): Promise<SigningIdentity> {
  const [key] = readSigningKeys(await readFile(path, "utf8")).keys;
  if (!key) throw new SigningKeyFileError("The signing key file holds no key");
  const { privateKey } = await importSeed(key.seed);
  return { serverName, keyId: key.keyId, privateKey };
}
