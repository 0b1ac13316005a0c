module fdpasser.example/pass

go 1.19
