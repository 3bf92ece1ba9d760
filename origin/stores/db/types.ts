import pg from "pg";

const INT8 = 20;

/**
 * How values come back, given to each pool rather than set for the whole process: 8-byte integers (sizes, generations,
 * milliseconds) as numbers; everything else as node-postgres has it.
 */
export const TYPES: pg.CustomTypesConfig = {
  getTypeParser(oid, format) {
    return oid === INT8 && format !== "binary" ? parseInt8 : pg.types.getTypeParser(oid, format);
  },
};

function parseInt8(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError("Cannot read a number beyond 2^53 from the database");
  return value;
}
