/* true: a static program that does nothing, as quickly as can be. For the bench. */
int main(void)
{
	return 0;
}
