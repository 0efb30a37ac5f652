// Package ticker calls something now and then while other work goes on.
package ticker
