// Package btree reads pages of SQLite's b-trees: which pages lie below a page, and what sqlite_schema says. It is for guesses and
// figures, not for data: it makes the best of every page. What cannot be is left out, and nothing that is read sends it outside the page.
package btree
