// Package diagnose finds out why a replica cannot be opened, or that it can: one check after another, each with what to do.
//
//	for result := range (&diagnose.Doctor{Replica: url, …}).Run(ctx) {
//		fmt.Println(result.Status, result.Name, result.Detail)
//	}
//
// The order is that of cause and effect. What cannot be tried after a failure is skipped, so the first failure is the one to mend.
package diagnose
