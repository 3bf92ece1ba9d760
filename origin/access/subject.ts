/** Who asks, once the token (or its absence) has been judged. */
export type Subject =
  | { readonly kind: "anonymous" }
  | {
      readonly kind: "user";
      readonly userId: string;
      readonly isGuest: boolean;
      /** Listed in `admins`, or the shared secret: may do anything with any media here. */
      readonly isRepositoryAdmin: boolean;
      /** A user of an application service that is not to be held to the limits of `rateLimit`. */
      readonly isUnlimited?: boolean | undefined;
    };
