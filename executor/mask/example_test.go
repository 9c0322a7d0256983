package mask_test

import (
	"fmt"
	"os"

	"envrole/executor/mask"
)

func Example() {
	log, err := mask.New(os.Stdout, "wJalr/UtnFEMI+K7MDENG=bPxRfiCYEXAMPLEKEY")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Fprint(log, "AWS_SECRET_ACCESS_KEY=wJalr/UtnFEMI+K7")
	fmt.Fprint(log, "MDENG=bPxRfiCYEXAMPLEKEY\n")
	fmt.Fprint(log, "?key=wJalr%2FUtnFEMI%2BK7MDENG%3DbPxRfiCYEXAMPLEKEY\n")
	if err := log.Flush(); err != nil {
		fmt.Println(err)
	}
	fmt.Println(log.Masked(), "masked")
	// Output:
	// AWS_SECRET_ACCESS_KEY=[MASKED]
	// ?key=[MASKED]
	// 2 masked
}
