import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A key and a certificate for it, in PEM. */
export interface Certificate {
  key: string;
  cert: string;
}

/** A certificate authority of a test's own. */
export interface Authority {
  /** Its certificate, to be trusted by whom the test says. */
  ca: string;
  /** A certificate for these names, each as in `subjectAltName`: `DNS:a.example`, `IP:127.0.0.1`. */
  issue(...names: string[]): Certificate;
  close(): void;
}

const NEW_KEY = [
  "-newkey",
  "ec",
  "-pkeyopt",
  "ec_paramgen_curve:P-256",
  "-nodes",
  "-days",
  "2",
  "-subj",
  "/CN=mxcdn test",
];

/** Makes an authority with the `openssl` of the machine, in a folder that `close` removes. */
export function makeAuthority(): Authority {
  const folder = mkdtempSync(join(tmpdir(), "mxcdn-ca-"));
  const at = (name: string) => join(folder, name);
  const openssl = (...args: string[]) =>
    execFileSync("openssl", ["req", "-x509", ...NEW_KEY, ...args], { stdio: "pipe" });
  openssl("-keyout", at("ca.key"), "-out", at("ca.pem"), "-addext", "keyUsage=critical,keyCertSign,cRLSign");
  return {
    ca: readFileSync(at("ca.pem"), "utf8"),
    issue(...names) {
      const signer = ["-CA", at("ca.pem"), "-CAkey", at("ca.key"), "-addext", "basicConstraints=critical,CA:FALSE"];
      openssl(
        ...signer,
        "-keyout",
        at("leaf.key"),
        "-out",
        at("leaf.pem"),
        "-addext",
        `subjectAltName=${names.join(",")}`,
      );
      return { key: readFileSync(at("leaf.key"), "utf8"), cert: readFileSync(at("leaf.pem"), "utf8") };
    },
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
}
