// Package rowdiff tells which rows of a database differ between two moments that are attached to one connection.
//
//	d := &rowdiff.Diff{Conn: conn, Earlier: "past", Later: "main", Limit: 20}
//	schema, err := d.Schema(ctx)              // tables, indexes, views and triggers that came, went or changed
//	table, err := d.Table(ctx, schema.Both[0])
//
// Rows are matched by the primary key of the table, or by rowid where it has none, or one that may be NULL. Three queries find what was
// added, removed and changed; SQLite looks each row of one side up in the other, so memory is bounded by one row, whatever
// the table's size. Values are compared exactly: 1 and 1.0 differ, and so do 'a' and 'A' in a column that takes them for the same.
//
// What it does not compare: virtual tables, whose content lies in tables of their own that are compared; the content of tables that are
// there at one of the moments only; and columns that are, of a table that has changed.
package rowdiff
