package main

import (
	"fmt"
	"strings"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// Prices of AWS S3 Standard in us-east-1, in dollars, as in the status of a database. Transfer within the region is free.
const (
	priceGet     = 0.0004 / 1000 // one request
	priceList    = 0.005 / 1000  // one request; and PUT
	priceStorage = 0.023         // a GB for a month
)

// isFree reports whether nobody has to pay for a replica: for one in a directory.
func isFree(replica string) bool { return strings.HasPrefix(replica, "file:") }

// dollars is what requests cost.
func dollars(s objstore.Stats) float64 {
	return float64(s.Gets)*priceGet + float64(s.Lists+s.Puts)*priceList
}

// money is a sum of dollars for people.
func money(usd float64) string {
	const least = 0.0001
	switch {
	case usd < least:
		return "under $0.0001"
	case usd < 0.1:
		return fmt.Sprintf("$%.4f", usd)
	}
	return fmt.Sprintf("$%.2f", usd)
}
