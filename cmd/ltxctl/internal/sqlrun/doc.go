// Package sqlrun runs SQL that somebody typed and writes what comes back.
//
//	conn, err := sqlrun.Open(ctx, "file:app?vfs=litefs-s3&mode=ro")
//	err = conn.Run(ctx, "SELECT 1; SELECT 2", sqlrun.Params{}, sqlrun.NewCSV(os.Stdout, true, ""))
//
// SQL from anywhere must not bring the process down: package guard sees to it that a statement that runs out of memory is an error,
// and that the connection goes on. Values longer than 48 MiB are SQLite's "string or blob too big". Ending the context
// interrupts the statement, and the requests that it waits for.
package sqlrun
