// Package render writes for people: tables, sizes, ages and the timeline of a replica, as wide as the terminal is.
//
//	screen := render.Screen{Terminal: true, Width: 100, Color: true, Now: time.Now()}
//	screen.Table(os.Stdout, []render.Column{{Name: "level"}, {Name: "size", Right: true}}, rows)
//
// What is not a terminal gets the same facts without colour, one record a line, columns parted by tabs: see Plain. Text that
// comes from a database is made harmless with Printable before a terminal sees it.
package render
