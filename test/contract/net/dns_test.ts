import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Dns, makeDns, systemAddresses } from "../../../origin/net/dns.ts";
import { FetchError } from "../../../origin/net/fetch_error.ts";

const [A, AAAA, SRV] = [1, 28, 33];
const [NO_ERROR, SERVER_FAILURE, NO_SUCH_NAME] = [0, 2, 3];

/** What the name server says: the record data by "name type", or a response code by name. */
const records: Record<string, Buffer[]> = {};
/** By name, or by "name type". */
const codes: Record<string, number | "silence"> = {};

let server: Socket;
let folder: string;
let dns: Dns;

before(async () => {
  server = createSocket("udp4");
  server.on("message", (query, from) => {
    const reply = answer(query);
    if (reply) server.send(reply, from.port, from.address);
  });
  await new Promise<void>((resolve) => server.bind(0, "127.0.0.1", resolve));
  folder = mkdtempSync(join(tmpdir(), "mxcdn-dns-"));
  const hostsFile = join(folder, "hosts");
  writeFileSync(hostsFile, "127.0.0.9 in-hosts.example\n");
  dns = makeDns({ timeoutMs: 100, hostsFile, servers: [`127.0.0.1:${server.address().port}`] });
});
after(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

/** A name server in a few lines (RFC 1035, section 4): echoes the question and appends the records. */
function answer(query: Buffer): Buffer | undefined {
  let end = 12;
  const labels: string[] = [];
  for (let length = query[end] ?? 0; length > 0; length = query[end] ?? 0) {
    labels.push(query.toString("latin1", end + 1, end + 1 + length));
    end += length + 1;
  }
  const name = labels.join(".").toLowerCase();
  const type = query.readUInt16BE(end + 1);
  const found = records[`${name} ${type}`] ?? [];
  const known = Object.keys(records).some((key) => key.startsWith(`${name} `));
  const code = codes[`${name} ${type}`] ?? codes[name] ?? (known ? NO_ERROR : NO_SUCH_NAME);
  if (code === "silence") return undefined;
  const header = Buffer.from(query.subarray(0, 12));
  header.writeUInt16BE(0x8180 | code, 2);
  header.writeUInt16BE(code === NO_ERROR ? found.length : 0, 6);
  header.writeUInt32BE(0, 8);
  const answers = found.map((data) => {
    const head = Buffer.alloc(12);
    head.writeUInt16BE(0xc00c, 0);
    head.writeUInt16BE(type, 2);
    head.writeUInt16BE(1, 4);
    head.writeUInt32BE(60, 6);
    head.writeUInt16BE(data.length, 10);
    return Buffer.concat([head, data]);
  });
  return Buffer.concat([header, query.subarray(12, end + 5), ...(code === NO_ERROR ? answers : [])]);
}

function srvData(priority: number, weight: number, port: number, target: string): Buffer {
  const fixed = Buffer.alloc(6);
  fixed.writeUInt16BE(priority, 0);
  fixed.writeUInt16BE(weight, 2);
  fixed.writeUInt16BE(port, 4);
  const labels = target.split(".").map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label)]));
  return Buffer.concat([fixed, ...labels, Buffer.of(0)]);
}

test("addresses of both families come alternating", async () => {
  records[`both.example ${A}`] = [Buffer.of(192, 0, 2, 1), Buffer.of(192, 0, 2, 2)];
  records[`both.example ${AAAA}`] = [Buffer.from("20010db8000000000000000000000001", "hex")];
  const found = await dns.addresses("both.example");
  assert.deepEqual(found[0], "2001:db8::1");
  assert.deepEqual(new Set(found), new Set(["2001:db8::1", "192.0.2.1", "192.0.2.2"]));
});

test("the hosts file comes first", async () => {
  records[`in-hosts.example ${A}`] = [Buffer.of(192, 0, 2, 3)];
  assert.deepEqual(await dns.addresses("in-hosts.example"), ["127.0.0.9"]);
});

test("a name that does not exist, or has none of the records, is an empty list", async () => {
  records["empty.example 16"] = [];
  for (const name of ["nowhere.example", "empty.example"]) {
    assert.deepEqual(await dns.addresses(name), []);
    assert.deepEqual(await dns.srv(`_matrix-fed._tcp.${name}`), []);
  }
});

test("name servers that fail or keep silent are an error", async () => {
  codes["failing.example"] = SERVER_FAILURE;
  codes["silent.example"] = "silence";
  for (const name of ["failing.example", "silent.example"]) {
    for (const ask of [dns.addresses, dns.srv]) {
      await assert.rejects(ask(name), (error) => error instanceof FetchError && error.failure === "dns", name);
    }
  }
});

test("one family is enough where the other gets no answer", async () => {
  records[`half.example ${A}`] = [Buffer.of(192, 0, 2, 4)];
  codes[`half.example ${AAAA}`] = SERVER_FAILURE;
  assert.deepEqual(await dns.addresses("half.example"), ["192.0.2.4"]);
});

test("SRV records are told with all their numbers", async () => {
  records[`_matrix-fed._tcp.both.example ${SRV}`] = [
    srvData(10, 60, 8448, "t1.example"),
    srvData(20, 0, 443, "t2.example"),
  ];
  const found = await dns.srv("_matrix-fed._tcp.both.example");
  assert.deepEqual(
    found
      .map(({ name, port, priority, weight }) => ({ name, port, priority, weight }))
      .sort((a, b) => a.priority - b.priority),
    [
      { name: "t1.example", port: 8448, priority: 10, weight: 60 },
      { name: "t2.example", port: 443, priority: 20, weight: 0 },
    ],
  );
});

test("names of the configuration are found by the machine's own rules", async () => {
  assert.ok((await systemAddresses("localhost")).some((address) => address === "127.0.0.1" || address === "::1"));
});
