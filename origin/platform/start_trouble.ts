/** What the start needs from outside, so that whoever explains why it failed can say what to do. */

/** What a start can fail for. */
export type Dependency = "postgres" | "embedded_database" | "origin_port" | "metrics_port";

/** The start has failed for something that it needs. The cause says why. */
export class StartTrouble extends Error {
  override readonly name = "StartTrouble";
  readonly dependency: Dependency;
  /** Where it is: an address without secrets, a folder, or a port. */
  readonly place: string;

  constructor(dependency: Dependency, place: string, cause: unknown) {
    super(`The start has failed for the ${dependency.replaceAll("_", " ")} at ${place}`, { cause });
    this.dependency = dependency;
    this.place = place;
  }
}

/** Does work of the start that needs something; throws {@link StartTrouble} for whatever it throws. */
export async function needing<T>(dependency: Dependency, place: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof StartTrouble ? error : new StartTrouble(dependency, place, error);
  }
}
