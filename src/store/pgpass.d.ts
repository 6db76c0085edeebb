// The one function of the package `pgpass`, which brings no types: the password for a connection, from the password file of libpq.

declare module 'pgpass' {
  function pgpass(
    connection: { readonly host: string; readonly port: number; readonly database: string; readonly user: string },
    done: (password: string | undefined) => void,
  ): void;
  export = pgpass;
}
