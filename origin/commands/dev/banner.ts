import type { DevFacts } from "./dev_facts.ts";

/**
 * What `npm start` says when both tiers answer: the addresses, and commands to paste. Where several homeservers are served
 * (`nameHost`), the commands name the one they mean.
 */
export function banner({ origin, edge, server_name, token }: DevFacts, file: string, nameHost: boolean): string {
  const headers = `${nameHost ? `-H "Host: ${server_name}" ` : ""}-H "Authorization: Bearer ${token ?? "$TOKEN"}"`;
  const where = token === null ? `   (TOKEN: the access token of a user of ${server_name})\n` : "";
  return `
mxcdn is ready for ${server_name}.

  edge    ${edge}   for clients
  origin  ${origin}

Upload a picture, then fetch its thumbnail:
${where}
  ${uploadLine(edge, headers)}

  ${thumbnailLine(edge, headers)}

The same facts for scripts are in ${file}. Ctrl-C ends both.
`;
}

/** The answer is kept in a file, so that the next line knows the id. */
function uploadLine(edge: string, headers: string): string {
  const url = `${edge}/_matrix/media/v3/upload?filename=photo.jpg`;
  return `curl -sS -X POST ${headers} -H "Content-Type: image/jpeg" --data-binary @photo.jpg "${url}" | tee upload.json`;
}

function thumbnailLine(edge: string, headers: string): string {
  const id = `$(sed 's|.*mxc://\\([^"]*\\)".*|\\1|' upload.json)`;
  const url = `${edge}/_matrix/client/v1/media/thumbnail/${id}?width=320&height=240&method=scale`;
  return `curl -sS ${headers} -o thumbnail.jpg "${url}"`;
}
