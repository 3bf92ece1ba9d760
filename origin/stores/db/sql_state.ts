/** The five-character code of an error that a Postgres sent ("23505"), undefined for every other error (PostgreSQL, appendix A). */
export function sqlState(error: unknown): string | undefined {
  const { severity, code } = (error ?? {}) as { severity?: unknown; code?: unknown };
  return severity !== undefined && typeof code === "string" ? code : undefined;
}
