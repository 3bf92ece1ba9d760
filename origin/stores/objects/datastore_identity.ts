/**
 * One small object in each datastore by which its place is known again. It lasts as long as the datastore; what stands in it
 * is for whoever comes across it.
 */

const IDENTITY = /^[0-9a-f]{32}$/;

/** The name of the object. Throws when `identity` cannot be part of one. */
export function identityName(identity: string): string {
  if (!IDENTITY.test(identity)) throw new Error(`Cannot know a datastore by "${identity}"`);
  return `.mxcdn/datastore-${identity}`;
}

/** What stands in it. */
export const IDENTITY_TEXT = `mxcdn keeps media here, and knows this place by the name of this file.
Without it uploads are refused, because the place is taken for a disk that is not mounted. Leave it here.
`;
