import assert from "node:assert/strict";
import { test } from "node:test";
import { bodyEndBytes } from "../../../shared/tiers/hop.ts";
import { takeBodyEnd } from "./request_body.ts";

const END = bodyEndBytes("the-end");

async function* inPieces(text: string, size: number): AsyncGenerator<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.byteLength; at += size) yield bytes.subarray(at, at + size);
}

async function taken(text: string, size: number): Promise<string> {
  const decoder = new TextDecoder();
  let all = "";
  for await (const chunk of takeBodyEnd(inPieces(text, size), END, () => new Error("broken")))
    all += decoder.decode(chunk);
  return all;
}

test("a body is what comes before its end, however it is cut into pieces", async () => {
  for (const text of ["", "x", "0123456789", "the-end", "the-en"]) {
    for (let size = 1; size < 20; size += 1) assert.equal(await taken(`${text}the-end`, size), text);
  }
});

test("a body without its end is broken", async () => {
  for (const text of ["", "x", "the-en", "0123456789", "the-end.", "the-enD"]) {
    for (const size of [1, 3, 100]) await assert.rejects(taken(text, size), /broken/);
  }
});
