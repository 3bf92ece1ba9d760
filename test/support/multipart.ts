/** A federation answer that sends its reader elsewhere for the bytes (Server-Server API, "Content Repository"). */
export function frameLocation(boundary: string, location: string) {
  const parts = ["", `--${boundary}`, "Content-Type: application/json", "", "{}", `--${boundary}`];
  return {
    contentType: `multipart/mixed; boundary=${boundary}`,
    head: Buffer.from([...parts, `Location: ${location}`, "", ""].join("\r\n")),
    tail: Buffer.from(`\r\n--${boundary}--\r\n`),
  };
}
