import { randomBytes } from "node:crypto";

/** Makes a new identifier each time it is called. Handed to whatever names things, so that a test can foresee the names. */
export type MakeId = () => string;

const MEDIA_ID_BYTES = 24;
const REQUEST_ID_BYTES = 9;

/**
 * Media ids: 32 characters of the alphabet that the specification allows (URL-safe base64 without padding), from 192
 * random bits, so that nobody guesses one (Client-Server API, "Matrix Content (mxc://) URIs").
 */
export const randomMediaId: MakeId = () => randomBytes(MEDIA_ID_BYTES).toString("base64url");

/** Request ids: short, unique enough to find one request in the logs of both tiers. */
export const randomRequestId: MakeId = () => randomBytes(REQUEST_ID_BYTES).toString("base64url");
