import { Failure } from "../../../shared/matrix/failure.ts";

/** What is thrown for media that does not exist, or must look as if it did not. */
export function notFound(): Failure {
  return new Failure("absent", "Media not found");
}
