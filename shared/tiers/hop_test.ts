import assert from "node:assert/strict";
import { test } from "node:test";
import { HOP_HEADERS, type Hop, hopHeaders, verifyHop } from "./hop.ts";

const hop: Hop = {
  method: "GET",
  target: "/_matrix/client/v1/media/download/example.org/abc?allow_redirect=false&x=%2F",
  host: "matrix.example.org:8448",
  clientAddress: "2001:db8::7",
  requestId: "r-1",
  timeMs: 1_700_000_000_000,
};

const reader = (headers: Record<string, string>) => (name: string) => headers[name];

test("a signed hop is read back as it was sent", async () => {
  const headers = await hopHeaders("secret", hop);
  assert.match(headers[HOP_HEADERS.signature] ?? "", /^v1,t=1700000000000,sig=[0-9a-f]{64}$/);
  assert.deepEqual(await verifyHop("secret", "GET", reader(headers), hop.timeMs), hop);
});

test("a hop is believed for a minute around its time and no longer", async () => {
  const headers = await hopHeaders("secret", hop);
  for (const [offset, believed] of [
    [60_000, true],
    [-60_000, true],
    [60_001, false],
    [-60_001, false],
    [Number.NaN, false],
  ] as const) {
    const found = await verifyHop("secret", "GET", reader(headers), hop.timeMs + offset);
    assert.deepEqual(found, believed ? hop : "age", `offset ${offset}`);
  }
});

test("nothing can be changed: method, target, host, client, request id, time, signature, secret", async () => {
  const headers = await hopHeaders("secret", hop);
  assert.equal(await verifyHop("secret", "POST", reader(headers), hop.timeMs), "signature");
  assert.equal(await verifyHop("other", "GET", reader(headers), hop.timeMs), "signature");
  const signature = headers[HOP_HEADERS.signature] ?? "";
  const changes: Record<string, string>[] = [
    { [HOP_HEADERS.target]: "/_matrix/client/v1/media/download/example.org/abd" },
    { [HOP_HEADERS.host]: "evil.example" },
    { [HOP_HEADERS.client]: "127.0.0.1" },
    { [HOP_HEADERS.requestId]: "r-2" },
    { [HOP_HEADERS.signature]: signature.replace("t=1700000000000", "t=1700000000001") },
    { [HOP_HEADERS.signature]: signature.replace(/.$/, (last) => (last === "0" ? "1" : "0")) },
  ];
  for (const change of changes) {
    const found = await verifyHop("secret", "GET", reader({ ...headers, ...change }), hop.timeMs);
    assert.equal(found, "signature", JSON.stringify(change));
  }
  for (const malformed of ["", "v1", signature.toUpperCase(), signature.replace("v1", "v2"), `${signature}0`]) {
    const found = await verifyHop(
      "secret",
      "GET",
      reader({ ...headers, [HOP_HEADERS.signature]: malformed }),
      hop.timeMs,
    );
    assert.equal(found, "form", malformed);
  }
});

test("a missing header is no hop", async () => {
  const headers = await hopHeaders("secret", hop);
  for (const name of Object.values(HOP_HEADERS)) {
    const without = reader(Object.fromEntries(Object.entries(headers).filter(([key]) => key !== name)));
    assert.equal(await verifyHop("secret", "GET", without, hop.timeMs), "form", name);
  }
});

test("characters can't move from one part to its neighbour", async () => {
  const one = await hopHeaders("secret", { ...hop, host: "a", clientAddress: 'b","c' });
  const two = await hopHeaders("secret", { ...hop, host: 'a","b', clientAddress: "c" });
  assert.notEqual(one[HOP_HEADERS.signature], two[HOP_HEADERS.signature]);
});

test("an empty secret proves nothing", async () => {
  const headers = await hopHeaders("secret", hop);
  assert.equal(await verifyHop("", "GET", reader(headers), hop.timeMs), "signature");
});

test("a hop of another secret is of another secret, however old it is", async () => {
  const headers = await hopHeaders("secret", hop);
  assert.equal(await verifyHop("other", "GET", reader(headers), hop.timeMs + 3_600_000), "signature");
});

test("a proxy that appends itself to the forwarding lists does not break the signature, nor change what was signed", async () => {
  const headers = await hopHeaders("secret", hop);
  const longer = {
    ...headers,
    [HOP_HEADERS.client]: `${headers[HOP_HEADERS.client]}, 10.0.0.1`,
    [HOP_HEADERS.host]: `${headers[HOP_HEADERS.host]}, inner`,
  };
  assert.deepEqual(await verifyHop("secret", "GET", reader(longer), hop.timeMs), hop);
});
