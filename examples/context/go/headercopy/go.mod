module behalf.example/headercopy

go 1.22
